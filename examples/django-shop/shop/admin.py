"""The shop's pages for its staff."""

from django.contrib import admin

from shop.models import Company, Customer, Membership, Order, Product
from waybill.django.admin import ExportMixin  # waybill

admin.site.register([Company, Membership, Product])


@admin.register(Customer)
class CustomerAdmin(ExportMixin, admin.ModelAdmin):  # waybill
    list_display = ("name", "country")
    list_filter = ("country",)
    search_fields = ("name",)

    def get_queryset(self, request):
        """Give everybody the customers of their own company."""
        customers = super().get_queryset(request)
        return customers.filter(company__membership__user=request.user)


@admin.register(Order)
class OrderAdmin(ExportMixin, admin.ModelAdmin):  # waybill
    list_display = ("id", "customer", "status", "total")
    list_filter = ("status", "customer__country")
    search_fields = ("products__name",)
    list_select_related = ("customer",)

    def get_queryset(self, request):
        """Give everybody the orders of their own company."""
        orders = super().get_queryset(request)
        return orders.filter(customer__company__membership__user=request.user)
