"""The exports of a model that writes answers."""

from tutelage.export.export import check_answering_export, export_answering
from tutelage.objectives.spec import ExportPart

EXPORT = ExportPart(check_answering_export, export_answering)
