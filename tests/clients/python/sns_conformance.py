"""SNS as AWS specifies it: errors from a table, shapes from botocore's model, and what actions do."""

import time

from sns_errors import check_errors
from sns_model import check_errors_of_model, check_model

total = 0
begun = time.monotonic()
count, seen = check_errors()
print(f"errors: {count} checks")
total += count
count = check_model()
print(f"shapes of requests and answers: {count} checks")
total += count
count = check_errors_of_model(seen)
print(f"shapes of errors: {count} checks")
total += count
assert total >= 250, total
print(f"{total} checks, {time.monotonic() - begun:.1f} s")
