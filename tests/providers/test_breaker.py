from leadenrich.providers.breaker import Breaker


def test_five_different_leads_in_a_row_open_it_once():
    breaker = Breaker()
    assert [breaker.failed(f"lead{number}") for number in range(7)] == [False] * 4 + [True] + [False] * 2
    assert breaker.is_open


def test_one_sick_lead_says_nothing_about_the_provider():
    breaker = Breaker(threshold=2)
    assert not any(breaker.failed("same") for _ in range(50))
    assert not breaker.is_open
    assert breaker.failed("other")


def test_a_good_answer_breaks_the_row_and_closes_it():
    breaker = Breaker(threshold=2)
    breaker.failed("a")
    breaker.succeeded()
    assert not breaker.failed("b")
    assert breaker.failed("c")
    breaker.succeeded()
    assert not breaker.is_open
    assert not breaker.failed("d")
    assert breaker.failed("e")
