"""When things run: resource files become DAGs; the only home of Airflow."""
