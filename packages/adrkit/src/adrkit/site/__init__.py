"""A static web site of the records: no server, no network, readable without JavaScript."""

from adrkit.site.build import SiteDirectoryInUse, build_site, build_sites, write_site

__all__ = ["SiteDirectoryInUse", "build_site", "build_sites", "write_site"]
