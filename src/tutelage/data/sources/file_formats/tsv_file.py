"""TSV: CSV with tabs."""

from tutelage.data.sources.file_formats.csv_file import format_of_cells

FORMAT = format_of_cells("\t")
