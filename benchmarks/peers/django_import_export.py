"""django-import-export: Resource.export(), then its CSV, as the admin's Export button does."""

import io

from delivery import SPEC, upload


def main() -> None:
    import django
    from django.conf import settings
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(SPEC["dsn"])
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.postgres", "import_export"],
        USE_TZ=True,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts["dbname"],
                "USER": parts.get("user", ""),
                "PASSWORD": parts.get("password", ""),
                "HOST": parts.get("host", ""),
                "PORT": parts.get("port", ""),
            }
        },
    )
    django.setup()
    from django.contrib.postgres.fields import ArrayField
    from django.db import models
    from import_export import resources

    class User(models.Model):
        id = models.BigAutoField(primary_key=True)
        public_id = models.UUIDField()
        email = models.TextField()
        full_name = models.TextField()
        phone = models.TextField(null=True)
        country = models.CharField(max_length=2)
        city = models.TextField(null=True)
        birth_date = models.DateField(null=True)
        balance = models.DecimalField(max_digits=12, decimal_places=2)
        is_active = models.BooleanField()
        tags = ArrayField(models.TextField())
        preferences = models.JSONField()
        notes = models.TextField(null=True)
        created_at = models.DateTimeField()
        last_login_at = models.DateTimeField(null=True)

        class Meta:
            app_label = "bench"
            managed = False
            db_table = SPEC["table"]

    class UserResource(resources.ModelResource):
        class Meta:
            model = User

    dataset = UserResource().export(queryset=User.objects.order_by("id"))
    upload(io.BytesIO(dataset.csv.encode()))


if __name__ == "__main__":
    main()
