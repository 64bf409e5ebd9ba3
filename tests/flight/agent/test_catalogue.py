"""Products leave by priority, then by value per byte, then by age."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flight.agent.catalogue import Catalogue, Waiting, value_of


def waiting(number: int, **changes: float) -> Waiting:
    fields = {"priority": 3, "value": 1.0, "size": 1000, "since_s": 0.0, **changes}
    return Waiting(bytes([number]) * 16, bytes(32), **fields)  # type: ignore[arg-type]


def test_priority_goes_before_value_per_byte_and_that_before_age() -> None:
    catalogue = Catalogue()
    for product in (
        waiting(1, since_s=5.0),
        waiting(2, since_s=4.0),
        waiting(3, value=4.0, size=1500, since_s=9.0),
        waiting(4, priority=7, value=0.1, size=90_000, since_s=99.0),
    ):
        catalogue.add(product)
    assert [product.product_id[0] for product in catalogue.in_order()] == [4, 3, 2, 1]
    assert catalogue.bytes_waiting == 93_500


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 5000), st.integers(0, 9)), max_size=20), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_arrival(
    products: list[tuple[int, int, int]], random: object
) -> None:
    made = [waiting(n, priority=p, size=s, since_s=t) for n, (p, s, t) in enumerate(products)]
    first, second = Catalogue(), Catalogue()
    for product in made:
        first.add(product)
    random.shuffle(made)  # type: ignore[attr-defined]
    for product in made:
        second.add(product)
        second.add(product)
    assert first.in_order() == second.in_order()
    while (top := first.first()) is not None:
        assert top == first.in_order()[0]
        first.remove(top.product_id)
        first.remove(top.product_id)
    assert len(first) == 0


def test_a_found_thing_is_worth_more_than_none_and_a_sure_answer_more_than_a_doubtful_one() -> None:
    assert value_of(5, 0.5) > value_of(0, 0.5) and value_of(5, 0.9) > value_of(5, 0.5)
