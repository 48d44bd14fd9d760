"""Where the standard MIBs keep what is read here."""

from typing import Final

SYS_DESCR: Final = "1.3.6.1.2.1.1.1.0"
SYS_UP_TIME: Final = "1.3.6.1.2.1.1.3.0"
SYS_NAME: Final = "1.3.6.1.2.1.1.5.0"

# IF-MIB (RFC 2863)
IF_DESCR: Final = "1.3.6.1.2.1.2.2.1.2"
IF_TYPE: Final = "1.3.6.1.2.1.2.2.1.3"
IF_SPEED: Final = "1.3.6.1.2.1.2.2.1.5"
IF_ADMIN: Final = "1.3.6.1.2.1.2.2.1.7"
IF_OPER: Final = "1.3.6.1.2.1.2.2.1.8"
IF_IN_OCTETS: Final = "1.3.6.1.2.1.2.2.1.10"
IF_IN_DISCARDS: Final = "1.3.6.1.2.1.2.2.1.13"
IF_IN_ERRORS: Final = "1.3.6.1.2.1.2.2.1.14"
IF_OUT_OCTETS: Final = "1.3.6.1.2.1.2.2.1.16"
IF_OUT_DISCARDS: Final = "1.3.6.1.2.1.2.2.1.19"
IF_OUT_ERRORS: Final = "1.3.6.1.2.1.2.2.1.20"
IF_NAME: Final = "1.3.6.1.2.1.31.1.1.1.1"
IF_HC_IN_OCTETS: Final = "1.3.6.1.2.1.31.1.1.1.6"
IF_HC_OUT_OCTETS: Final = "1.3.6.1.2.1.31.1.1.1.10"
IF_HIGH_SPEED: Final = "1.3.6.1.2.1.31.1.1.1.15"

# POWER-ETHERNET-MIB (RFC 3621)
POE_ADMIN: Final = "1.3.6.1.2.1.105.1.1.1.3"
POE_DETECTION: Final = "1.3.6.1.2.1.105.1.1.1.6"
PSE_POWER: Final = "1.3.6.1.2.1.105.1.3.1.1.2"
PSE_STATUS: Final = "1.3.6.1.2.1.105.1.3.1.1.3"
PSE_CONSUMPTION: Final = "1.3.6.1.2.1.105.1.3.1.1.4"

# ENTITY-MIB (RFC 6933) and ENTITY-SENSOR-MIB (RFC 3433)
ENT_DESCR: Final = "1.3.6.1.2.1.47.1.1.1.1.2"
ENT_CLASS: Final = "1.3.6.1.2.1.47.1.1.1.1.5"
ENT_NAME: Final = "1.3.6.1.2.1.47.1.1.1.1.7"
ENT_FIRMWARE: Final = "1.3.6.1.2.1.47.1.1.1.1.9"
ENT_SOFTWARE: Final = "1.3.6.1.2.1.47.1.1.1.1.10"
ENT_SERIAL: Final = "1.3.6.1.2.1.47.1.1.1.1.11"
ENT_MAKER: Final = "1.3.6.1.2.1.47.1.1.1.1.12"
ENT_MODEL: Final = "1.3.6.1.2.1.47.1.1.1.1.13"
SENSOR_TYPE: Final = "1.3.6.1.2.1.99.1.1.1.1"
SENSOR_SCALE: Final = "1.3.6.1.2.1.99.1.1.1.2"
SENSOR_PRECISION: Final = "1.3.6.1.2.1.99.1.1.1.3"
SENSOR_VALUE: Final = "1.3.6.1.2.1.99.1.1.1.4"
SENSOR_STATUS: Final = "1.3.6.1.2.1.99.1.1.1.5"
