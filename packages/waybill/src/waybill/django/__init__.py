"""waybill inside of a Django project: ``INSTALLED_APPS += ["waybill.django"]``."""
