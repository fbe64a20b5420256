"""The transformations, in the order in which they are applied."""

from deidentifier.transformations.add_tags import AddTags
from deidentifier.transformations.base import Transformation
from deidentifier.transformations.delete_tags import DeleteTags
from deidentifier.transformations.randomize_text import RandomizeText
from deidentifier.transformations.randomize_uid import RandomizeUID
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations
from deidentifier.transformations.shift_date_time import ShiftDateTime

TRANSFORMATIONS: tuple[type[Transformation], ...] = (
    ShiftDateTime,
    RandomizeText,
    RandomizeUID,
    AddTags,
    RemoveBurnedInAnnotations,
    DeleteTags,
)

__all__ = ["TRANSFORMATIONS", "Transformation"]
