"""No tables: only what Django makes permissions from."""

from django.db import models


class Exports(models.Model):
    """Rights that belong to no model of the project."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("export_personal_data", "Can export personal data"),
            ("administer_exports", "Can administer the exports of others"),
        )
