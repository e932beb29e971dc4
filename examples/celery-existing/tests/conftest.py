from waybill.local.testing import local_stack

__all__ = ["local_stack"]
