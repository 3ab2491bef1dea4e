"""Tags of calls to AWS services."""

AWSREGION = "aws.region"
REGION = "region"
AGENT = "aws.agent"
OPERATION = "aws.operation"
PARTITION = "aws.partition"
