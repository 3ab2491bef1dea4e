"""Names and tags of MongoDB commands."""

SERVICE = "mongodb"
COLLECTION = "mongodb.collection"
DB = "mongodb.db"
QUERY = "mongodb.query"
