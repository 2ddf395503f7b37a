"""The audit of a task: do its ceilings hold, and does its guard, bit for bit?"""

from rlmem.envs.audit.certificate import Certificate, Finding
from rlmem.envs.audit.run import QUICK, THOROUGH, Budget, audit
from rlmem.envs.audit.search import SearchSettings

__all__ = ["QUICK", "THOROUGH", "Budget", "Certificate", "Finding", "SearchSettings", "audit"]
