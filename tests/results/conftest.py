import sys
from pathlib import Path

# The made-up models and measurements of the report's tests serve here as well.
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
