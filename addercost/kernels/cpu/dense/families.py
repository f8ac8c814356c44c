"""Families of kernels. All kernels of a family share the schedules that were tuned for it."""

from __future__ import annotations

FAMILY_OF_SITE = {
    "adder": "adder",
    "adder_scaled": "adder",
    "adder_shortcut": "adder",
    "mac": "mac",
    "mac_powers": "mac",
    "adder_u8": "adder_u8",
    "adder_u8_scaled": "adder_u8",
    "adder_u8_coded": "adder_u8",
    "adder_u8_by_four": "adder_u8",
    "adder_u8_scaled_by_four": "adder_u8",
    "adder_u8_coded_by_four": "adder_u8",
    "xnor": "xnor",
}
"""The family of each arithmetic whose schedules can be tuned."""

FAMILIES = tuple(dict.fromkeys(FAMILY_OF_SITE.values()))
