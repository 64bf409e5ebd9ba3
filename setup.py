"""Build of the distribution `swath`: five packages and one abi3 extension."""

from __future__ import annotations

from setuptools import find_packages, setup

PACKAGES = ("bindings", "hal", "payload_models", "flight", "ground_test")
GROUND = [
    "stapi-pydantic>=0.1; python_version >= '3.11'",  # none works on 3.10, and only tests need it
    "pystac>=1.12",
    "rich>=13",
]
TEST = [
    "hypothesis>=6.100",
    "import-linter>=2.1",
    "mypy>=1.13",
    "onnx>=1.16",
    "pyproj>=3.6",
    "pytest>=8",
    "rasterio>=1.3",
    "ruff>=0.9",
    "setuptools>=70",
    "wheel>=0.43",
]

DRIVERS: dict[str, list[str]] = {
    "swath.hal.sensor": [
        "file = hal.sensor.replay:driver",
        "archive = hal.sensor.archive:driver",
    ],
    "swath.hal.radio": ["udp = hal.radio.udp:driver"],
    "swath.hal.isl": ["udp = hal.isl.udp:driver"],
    "swath.hal.platform": ["simulated = hal.platform.simulated:driver"],
    "swath.hal.power": ["simulated = hal.power.simulated:driver"],
    "swath.hal.navigation": ["simulated = hal.navigation.orbit:driver"],
    "swath.hal.watchdog": [
        "file = hal.watchdog.file:driver",
        "linux = hal.watchdog.linux:driver",
        "systemd = hal.watchdog.systemd:driver",
    ],
}

setup(
    name="swath",
    version="0.1.0",
    description="Flight software for satellites that think: only answers leave.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[name for name in find_packages() if name.split(".")[0] in PACKAGES],
    package_data={
        "bindings": ["csrc/*.c", "csrc/*.h", "csrc/decl/*.h", "py.typed"],
        "hal": ["py.typed"],
        "payload_models": ["*/manifest.toml", "*/*.onnx", "*/card.md", "*/golden/*", "py.typed"],
        "flight": ["py.typed", "executive/*.toml", "services/event_ids.txt"],
        "ground_test": ["py.typed", "console/*.html", "console/*.js", "console/*.css", "console/*.geojson"],
    },
    cffi_modules=["bindings/build.py:ffi"],
    install_requires=[
        "cbor2>=5.6",
        "cffi>=2.0",
        "cryptography>=42",
        "msgpack>=1.0",
        "msgspec>=0.19",
        "numpy>=1.24",
        "opencv-python-headless>=4.8",
        "pyzmq>=26",
        "sgp4>=2.23",
        "tifffile>=2023.1",
        "tomli>=2; python_version < '3.11'",
        "tuf>=4",
    ],
    extras_require={
        "cpu": ["onnxruntime>=1.18"],
        "cuda": ["onnxruntime-gpu>=1.18"],
        "jetson": [],
        "tiff": ["imagecodecs>=2023.1"],
        "ground": GROUND,
        "test": TEST,
        "train": ["torch<2.14", "onnx>=1.16", "onnxruntime>=1.18", "rasterio>=1.3"],
    },
    entry_points={
        "console_scripts": ["swath = flight.cli:main", "swath-ground = ground_test.cli:main"],
        **DRIVERS,
    },
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
    zip_safe=False,
)
