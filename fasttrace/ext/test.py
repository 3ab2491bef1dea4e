"""Tags and values of test runs."""

from enum import Enum

ARGUMENTS = "test.arguments"
TEST_ARGUMENTS = ARGUMENTS
FRAMEWORK = "test.framework"
TEST_FRAMEWORK = FRAMEWORK
FRAMEWORK_VERSION = "test.framework_version"
TEST_FRAMEWORK_VERSION = FRAMEWORK_VERSION
COMMAND = "test.command"
MODULE = "test.module"
MODULE_PATH = "test.module_path"
SUITE = "test.suite"
TEST_SUITE = SUITE
NAME = "test.name"
TEST_NAME = NAME
PARAMETERS = "test.parameters"
RESULT = "test.result"
TEST_RESULT = RESULT
SKIP_REASON = "test.skip_reason"
TEST_SKIP_REASON = SKIP_REASON
STATUS = "test.status"
TEST_STATUS = STATUS
TRAITS = "test.traits"
TEST_TRAITS = TRAITS
TYPE = "test.type"
TEST_TYPE = TYPE
FILE = "test.file"
TEST_FILE = FILE
SOURCE_FILE = "test.source.file"
TEST_SOURCE_FILE = SOURCE_FILE
SOURCE_START = "test.source.start"
TEST_SOURCE_START = SOURCE_START
SOURCE_END = "test.source.end"
TEST_SOURCE_END = SOURCE_END
LINES_PCT = "test.code_coverage.lines_pct"
TEST_LINES_PCT = LINES_PCT
CLASS_HIERARCHY = "test.class_hierarchy"
CODEOWNERS = "test.codeowners"
TEST_CODEOWNERS = CODEOWNERS
ITR_SKIPPED = "test.skipped_by_itr"
ITR_DD_CI_ITR_TESTS_SKIPPED = "_dd.ci.itr.tests_skipped"
ITR_TEST_SKIPPING_ENABLED = "test.itr.tests_skipping.enabled"
ITR_TEST_SKIPPING_TESTS_SKIPPED = "test.itr.tests_skipping.tests_skipped"
ITR_TEST_SKIPPING_TYPE = "test.itr.tests_skipping.type"
ITR_TEST_SKIPPING_COUNT = "test.itr.tests_skipping.count"
ITR_TEST_CODE_COVERAGE_ENABLED = "test.code_coverage.enabled"
ITR_UNSKIPPABLE = "test.itr.unskippable"
ITR_FORCED_RUN = "test.itr.forced_run"
TEST_SESSION_NAME = "test_session.name"
FINAL_STATUS = "test.final_status"
TEST_FINAL_STATUS = FINAL_STATUS


class Status(Enum):
    """Outcome of one test, the value of tag ``test.status``."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    XPASS = "xpass"
