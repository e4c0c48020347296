"""An ended evaluation as files for those who read neither JSON nor pictures: JUnit XML, SARIF, and Markdown."""

from service.ci_reports.junit import junit
from service.ci_reports.markdown import markdown
from service.ci_reports.sarif import sarif

__all__ = ["junit", "markdown", "sarif"]
