"""Companies that sell, their staff, customers and orders."""

from django.conf import settings
from django.db import models


class Company(models.Model):
    """Who sells here: each sees their own customers and orders."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Which company somebody works for."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE)
    company = models.ForeignKey(Company, models.CASCADE)

    def __str__(self) -> str:
        return f"{self.user} of {self.company}"


class Customer(models.Model):
    """Somebody who buys."""

    company = models.ForeignKey(Company, models.CASCADE)
    name = models.CharField(max_length=100)
    email = models.EmailField("e-mail address")
    country = models.CharField(max_length=2)

    class Meta:
        permissions = [("view_personal_data", "Can see names and addresses of customers")]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something that is sold."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What somebody bought."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        SENT = "sent", "Sent"

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    products = models.ManyToManyField(Product, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        permissions = [("export_order", "Can export orders")]

    def __str__(self) -> str:
        return f"Order {self.pk}"


def company_of(user) -> str | None:
    """Return whose rows somebody may export: those of the company they work for."""
    membership = Membership.objects.filter(user=user).first()
    return None if membership is None else str(membership.company_id)
