"""What of the shop can be exported, and whose rows are whose."""

from shop.models import Customer, Order, Product  # waybill
from waybill.catalog import Catalog, Export  # waybill

catalog = Catalog.from_django(  # waybill
    Export(Customer, name="customers", tenant="company", pii={"name": True, "email": True}),
    Export(Order, name="orders", tenant="customer__company", exclude=("note",)),
    Export(Product, name="products", tenant=""),
)
