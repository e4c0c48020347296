"""An ended evaluation as files for those who read neither JSON nor pictures: JUnit XML for CI, Markdown for people."""

from service.ci_reports.junit import junit
from service.ci_reports.markdown import markdown

__all__ = ["junit", "markdown"]
