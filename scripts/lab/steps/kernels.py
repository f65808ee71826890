"""Finds a kernel by its name: one that is built, or one that Debian ships."""

from . import kernel, stock, work


def load(name: str) -> kernel.Kernel | stock.Stock:
    described = work.describe("kernels", name)
    if "packages" in described:
        return stock.Stock(name=name, **described)
    return kernel.load(name)


def make(one: kernel.Kernel | stock.Stock) -> None:
    if isinstance(one, stock.Stock):
        stock.make(one)
    else:
        kernel.make(one)
