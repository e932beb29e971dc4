"""``path("exports/", include("waybill.django.urls"))``."""

from django.urls import path

from waybill.django import views

app_name = "waybill"
urlpatterns = [
    path("", views.list_exports, name="list"),
    path("<uuid:export_id>/", views.show_export, name="show"),
    path("<uuid:export_id>/download/", views.download_export, name="download"),
    path("<uuid:export_id>/discard/", views.discard_export, name="discard"),
]
