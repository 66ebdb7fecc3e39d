"""An Airflow DAG that runs the four notebooks each night and keeps what was executed in OSS.

For an Airflow with the provider: pip install apache-airflow-providers-papermill. Put this file into
its dags folder, this repository at REPOSITORY, and this repository's packages where the workers
run. The notebooks run in replay, so they need no account and no order. To write to OSS, a worker is
an ECS instance with a RAM role, or has ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET
and OSS_REGION in its environment: a credential among the parameters would be saved in the notebook.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk import DAG

REPOSITORY = "/opt/ecs-instance-ram-roles"
RUNS = "oss://my-reports/runs"
# What each notebook takes, `papermill --help-notebook` says.
NOTEBOOKS = {
    "01_create_ram_role": {"role_name": "ReportReader", "bucket_name": "my-reports"},
    "02_attach_role_to_instance": {"role_name": "ReportReader"},
    "03_get_sts_credentials": {"role_name": "ReportReader"},
    "04_access_oss": {"role_name": "ReportReader", "bucket_name": "my-reports"},
}

with DAG(
    dag_id="ecs_instance_ram_roles",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
):
    for name, parameters in NOTEBOOKS.items():
        PapermillOperator(
            task_id=name,
            input_nb=f"{REPOSITORY}/notebooks/{name}.ipynb",
            output_nb=f"{RUNS}/{{{{ ds }}}}/{name}.ipynb",
            parameters=parameters,
            kernel_name="python3",
            language_name="python",
        )
