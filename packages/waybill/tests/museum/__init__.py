"""Public complaints about exports, replayed on waybill."""
