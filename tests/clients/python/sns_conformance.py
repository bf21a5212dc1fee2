"""SNS as AWS specifies it: errors from a table, shapes from botocore's model, and what actions do."""

import time

from sns_actions import check_actions
from sns_errors import check_errors
from sns_model import check_errors_of_model, check_model

total = 0
begun = time.monotonic()
for name, check in (
    ("errors", check_errors),
    ("shapes of requests and answers", check_model),
    ("what actions do", check_actions),
    ("shapes of errors", check_errors_of_model),
):
    count = check()
    print(f"{name}: {count} checks")
    total += count
assert total >= 650, total
print(f"{total} checks, {time.monotonic() - begun:.1f} s")
