"""Families of kernels. All kernels of a family share the schedules that were tuned for it."""

from __future__ import annotations

_HALVES = ("", "_float16", "_bfloat16")

_SITES_OF_FAMILY = {
    "adder": ("adder_shortcut", *(f"adder{store}{half}" for store in ("", "_scaled") for half in _HALVES)),
    "mac": tuple(f"mac{powers}{half}" for powers in ("", "_powers") for half in _HALVES),
    "adder_u8": tuple(
        f"adder_u8{store}{form}"
        for form in ("", "_by_four")
        for store in ("", "_scaled", "_coded", "_shortcut", "_shortcut_coded")
    ),
    "xnor": ("xnor", "xnor_shortcut"),
}
"""The arithmetics whose schedules can be tuned, by family."""

FAMILY_OF_SITE = {site: family for family, sites in _SITES_OF_FAMILY.items() for site in sites}

FAMILIES = tuple(_SITES_OF_FAMILY)
