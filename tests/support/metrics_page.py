"""A page of /metrics as numbers."""

from prometheus_client.parser import text_string_to_metric_families


def counters(page: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """What must never fall: (name, values of the labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if family.type in ("counter", "histogram") and not sample.name.endswith("_created")
    }
