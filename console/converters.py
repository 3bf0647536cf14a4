"""Parts of addresses: the numbers of rows, none larger than a database can hold."""

from django.urls import register_converter
from django.urls.converters import IntConverter


class Number(IntConverter):
    """As Django's `int`, within 64 bits: an address with a larger number is no address of ours."""

    regex = "[0-9]{1,18}"


register_converter(Number, "number")
