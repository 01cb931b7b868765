"""Units of measure: what is said for the symbol behind a number."""

_METRIC = {
    "m": "meter", "g": "gram", "L": "liter", "l": "liter", "W": "watt", "Wh": "watt hour", "V": "volt",
    "A": "ampere", "Hz": "hertz",
    "J": "joule", "Pa": "pascal", "N": "newton", "Ω": "ohm", "F": "farad", "eV": "electron volt", "cal": "calorie",
    "bps": "bit per second", "Ah": "ampere hour", "s": "second", "B": "byte", "b": "bit", "Nm": "newton meter",
}  # fmt: skip
_PREFIXES = {
    "km": "kilo", "cm": "centi", "mm": "milli", "µm": "micro", "nm": "nano", "dm": "deci", "kg": "kilo",
    "mg": "milli", "µg": "micro",
    "mL": "milli", "ml": "milli", "cl": "centi", "cL": "centi", "dl": "deci", "dL": "deci", "hl": "hecto",
    "µL": "micro", "µl": "micro",
    "kW": "kilo", "MW": "mega", "GW": "giga", "TW": "tera", "mW": "milli", "kWh": "kilo", "MWh": "mega",
    "GWh": "giga", "TWh": "tera",
    "kV": "kilo", "mV": "milli", "µV": "micro", "mA": "milli", "µA": "micro", "mAh": "milli", "kHz": "kilo",
    "MHz": "mega",
    "GHz": "giga", "THz": "tera", "mHz": "milli", "kJ": "kilo", "MJ": "mega", "GJ": "giga", "kPa": "kilo",
    "hPa": "hecto", "MPa": "mega",
    "GPa": "giga", "kN": "kilo", "kΩ": "kilo", "MΩ": "mega", "µF": "micro", "nF": "nano", "pF": "pico",
    "keV": "kilo", "MeV": "mega",
    "GeV": "giga", "TeV": "tera", "kcal": "kilo", "kbps": "kilo", "Kbps": "kilo", "Mbps": "mega", "Gbps": "giga",
    "ms": "milli",
    "µs": "micro", "ns": "nano", "kB": "kilo", "KB": "kilo", "MB": "mega", "GB": "giga", "TB": "tera", "PB": "peta",
    "Mb": "mega", "Gb": "giga", "kb": "kilo", "Kb": "kilo",
}  # fmt: skip
_WHOLE = {
    "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour", "mpg": "mile per gallon",
    "rpm": "revolution per minute",
    "fps": "frame per second", "bpm": "beat per minute", "psi": "pound per square inch", "ppm": "part per million",
    "dpi": "dot per inch",
    "ft": "foot", "lb": "pound", "lbs": "pound", "oz": "ounce", "mi": "mile", "yd": "yard", "yds": "yard",
    "gal": "gallon", "qt": "quart",
    "pt": "point", "tsp": "teaspoon", "tbsp": "tablespoon", "in": "inch", "hr": "hour", "hrs": "hour", "h": "hour",
    "min": "minute",
    "mins": "minute", "sec": "second", "secs": "second", "dB": "decibel", "ha": "hectare", "px": "pixel",
    "hp": "horsepower",
    "kn": "knot", "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "mo": "month", "mos": "month",
    "atm": "atmosphere",
    "MP": "megapixel", "ct": "carat", "sq ft": "square foot", "sq mi": "square mile", "sq m": "square meter",
    "sq km": "square kilometer",
    "cu ft": "cubic foot", "fl oz": "fluid ounce", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte",
    "µ": "micron",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree", "° C": "degree Celsius",
    "° F": "degree Fahrenheit", "mol": "mole",
}  # fmt: skip

UNITS: dict[str, str] = {
    **_METRIC,
    **{symbol: prefix + _METRIC[symbol[len(symbol) - size :]] for symbol, prefix in _PREFIXES.items()
       for size in range(1, len(symbol)) if symbol[1:] == symbol[len(symbol) - size :]},
    **_WHOLE,
}  # fmt: skip
RATES = {
    "h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute", "d": "day", "day": "day",
    "hour": "hour", "minute": "minute", "second": "second", "week": "week", "month": "month", "mo": "month",
    "year": "year", "yr": "year", "person": "person", "night": "night", "kg": "kilogram", "L": "liter",
    "l": "liter", "m": "meter", "km": "kilometer", "mi": "mile", "ft": "foot", "gal": "gallon", "lb": "pound",
    "unit": "unit", "user": "user", "item": "item", "page": "page", "piece": "piece", "share": "share",
    "cm": "centimeter", "m2": "square meter", "m²": "square meter", "m³": "cubic meter", "cm³": "cubic centimeter",
    "mL": "milliliter", "ml": "milliliter", "s²": "second squared", "s2": "second squared", "capita": "capita",
    "sq ft": "square foot", "GB": "gigabyte", "token": "token",
}  # fmt: skip
TIGHT_ONLY = frozenset({"in", "A", "F", "B", "b", "N", "s", "h", "mo"})  # with a blank before they are words or letters
