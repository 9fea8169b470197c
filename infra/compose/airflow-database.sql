-- Airflow's own database beside the state database; the first start of PostgreSQL runs this.
CREATE DATABASE airflow ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
