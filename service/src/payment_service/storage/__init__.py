"""The database: connections, tables, what every write keeps to, and where SQL differs between databases."""
