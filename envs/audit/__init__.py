"""The audit of a task: does it keep its ceilings, and does its guard hold, bit for bit?"""

from rlmem.envs.audit.certificate import Certificate, Finding
from rlmem.envs.audit.run import QUICK, THOROUGH, Budget, audit
from rlmem.envs.audit.search import SearchSettings

__all__ = ["QUICK", "THOROUGH", "Budget", "Certificate", "Finding", "SearchSettings", "audit"]
