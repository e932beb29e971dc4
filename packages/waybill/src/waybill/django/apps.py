"""The application as Django knows it."""

from django.apps import AppConfig
from django.core.checks import register


class WaybillConfig(AppConfig):
    """Exports. Has no tables of Django's: ``manage.py waybill_setup`` makes waybill's own."""

    name = "waybill.django"
    label = "waybill"
    verbose_name = "Exports"

    def ready(self) -> None:
        """Have ``manage.py check``, and every start, say what does not hold."""
        from waybill.django.checks import check_settings

        register(check_settings)
