"""A pipeline with the gate as a component: `python pipeline.py` writes gate.yaml. Only a pass lets `deploy` run.

The key is in a Kubernetes secret that your cluster puts into the step's environment as LESION_KEY (kfp-kubernetes'
`use_secret_as_env`).
"""

from kfp import compiler, dsl
from kfp.dsl import Artifact, ContainerSpec, Dataset, Input, Model, Output

IMAGE = "registry.example/lesion-api:0.1.0"  # the API's image has the command, and no ML library
SCRIPT = """
set -u
mkdir -p "$(dirname "$3")" "$(dirname "$4")"
exec lesion gate "$0" "$1" $2 --server "$5" --timeout 1800 --save "$3" --attest "$4"
"""


@dsl.container_component
def gate(
    model: Input[Model],
    dataset: Input[Dataset],
    rules: str,
    server: str,
    evaluation: Output[Artifact],
    verdict: Output[Artifact],
):
    return ContainerSpec(
        image=IMAGE,
        command=["sh", "-c", SCRIPT],
        args=[model.path, dataset.path, rules, evaluation.path, verdict.path, server],
    )


@dsl.container_component
def deploy(model: Input[Model]):
    """Yours."""
    return ContainerSpec(image="busybox", command=["echo"], args=[model.uri])


@dsl.pipeline(name="lesion-gate")
def pipeline(model_uri: str, dataset_uri: str, rules: str = "--policy production", server: str = "http://api.lesion"):
    model = dsl.importer(artifact_uri=model_uri, artifact_class=Model)
    dataset = dsl.importer(artifact_uri=dataset_uri, artifact_class=Dataset)
    judged = gate(model=model.output, dataset=dataset.output, rules=rules, server=server)
    judged.set_retry(num_retries=2)
    deploy(model=model.output).after(judged)


if __name__ == "__main__":
    compiler.Compiler().compile(pipeline, "gate.yaml")
