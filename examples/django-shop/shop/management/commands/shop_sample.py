"""``manage.py shop_sample``: people and orders to look at."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import Permission, User
from django.core.management.base import BaseCommand
from django.db import transaction

from shop.models import Company, Customer, Membership, Order, Product

COUNTRIES = ("DE", "FR", "US")
BATCH = 10_000


class Command(BaseCommand):
    """Fills an empty shop: Ann and Root work for Acme, Bob for Bolt, Guy for nobody."""

    help = "Fill an empty shop with companies, staff, customers and orders."

    def add_arguments(self, parser):
        """Take how many orders each company has."""
        parser.add_argument("--orders", type=int, default=1_000)

    @transaction.atomic
    def handle(self, *, orders, **_):
        """Do it; a shop that has something in it stays as it is."""
        if Company.objects.exists():
            return
        companies = [Company.objects.create(name=name) for name in ("Acme", "Bolt")]
        acme, bolt = companies
        for name, company in (("root", acme), ("ann", acme), ("bob", bolt), ("guy", None)):
            self.hire(name, company)
        lamp, chair = (Product.objects.create(name=name) for name in ("Lamp", "Chair"))
        began = datetime(2026, 1, 1, tzinfo=UTC)
        for company in companies:
            customers = Customer.objects.bulk_create(
                Customer(
                    company=company,
                    name=f"Customer {n % 10}",
                    email=f"c{n}@{company.name.lower()}.example",
                    country=COUNTRIES[n % 3],
                )
                for n in range(10)
            )
            for start in range(0, orders, BATCH):
                made = Order.objects.bulk_create(
                    Order(
                        customer=customers[n % 10],
                        status=Order.Status.values[n % 3],
                        total=Decimal(n) / 4,
                        note=f"For {company.name}, 100% '{n}'",
                        created_at=began + timedelta(hours=n),
                    )
                    for n in range(start, min(orders, start + BATCH))
                )
                through = Order.products.through
                through.objects.bulk_create(
                    through(order=order, product=product)
                    for order in made[:100]
                    for product in ((lamp, chair) if order.pk % 2 else (lamp,))
                )
        self.stdout.write(f"{Order.objects.count()} orders.")

    @staticmethod
    def hire(name, company):
        """Add somebody; root may do everything, the others see and export orders and customers."""
        user = User.objects.create_user(name, password=name, is_staff=True)
        user.is_superuser = name == "root"
        user.save()
        user.user_permissions.set(
            Permission.objects.filter(
                codename__in=["view_order", "export_order", "view_customer"],
                content_type__app_label="shop",
            )
        )
        if company is not None:
            Membership.objects.create(user=user, company=company)
