"""Texts of tables, complete and small."""

MINIMAL = """\
schema = 1
kind = "cpu"
title = "A processor"
vendor = "Someone"
isa = "x86-64"

[sources.own]
title = "Measured at home"
licence = "CC0-1.0"

[[instructions]]
source = "own"
quality = "measured"
table = '''
op        form    vector_bits  lanes  latency_cycles  reciprocal_throughput_cycles  instruction
fp32_mul  scalar  32           1      4               1                             mulss xmm0, xmm1
fp32_add  scalar  32           1      2               0.5                           addss xmm0, xmm1
'''
"""

ENERGY = """\
schema = 1
kind = "energy"
title = "A process"
technology = "ASIC"

[sources.own]
title = "Measured at home"
licence = "CC0-1.0"

[[operations]]
op = "add"
number_format = "fp32"
energy_pj = 0.9
quality = "measured"
source = "own"

[[memories]]
memory = "sram"
access_bits = 64
energy_low_pj = 8
energy_high_pj = 12
quality = "published"
source = "own"

[[fits]]
op = "mul"
coefficients_pj = [1, 0.5]
quality = "published"
source = "own"
"""
