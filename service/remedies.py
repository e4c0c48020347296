"""What to do next about each problem, by its type. What a problem is, its class in service.problems says."""

NEXT = {
    "bad-request": "Read `detail`: it names the header, form field or JSON text that cannot be read. With curl, "
    "`--json` sends JSON and `-F` a form; `-d` alone says it sends something else.",
    "digest-mismatch": "Bytes were changed or lost on the way, or the digest was taken of another file. Send the "
    "file again, with the digest of that very file, or without one.",
    "unauthorized": "Send `Authorization: Bearer lsn_…`. Whoever runs the service makes a key with `lesion keys "
    "create NAME`; `detail` says whether yours is mistyped, unknown, expired or revoked.",
    "forbidden": "Take a key with the scope that `missing` names. Where no key is needed, call `http://127.0.0.1` or "
    "`http://localhost` directly: neither through a proxy, nor from another site's page.",
    "rate-limited": "Wait as many seconds as `Retry-After` says. Ask less often: `?wait=60` waits for an "
    "evaluation's end in one request, and `/events` tells of it without asking again. The operator's settings are "
    "`LESION_READ_LIMIT` and `LESION_WRITE_LIMIT`.",
    "quota-exceeded": "Wait until evaluations have ended, or cancel some; delete uploads that nobody needs. The "
    "operator raises a tenant's quota with `lesion keys quota TENANT`.",
    "not-found": "Check the address against `/docs`, and the id against the list that it came from. Things of other "
    "tenants look like missing ones, so check the key, too. It may have been deleted, or been too old to be kept.",
    "method-not-allowed": "Use one of the methods that the header `Allow` names; `/docs` says what each does.",
    "request-timeout": "Send it again, over a better connection. A sender that says nothing for 15 seconds is "
    "dropped. With an `Idempotency-Key`, a request that got through after all is not done twice.",
    "unsupported-media-type": "Send what the route reads, which `detail` names: files as `multipart/form-data` (curl "
    "`-F`), or raw bytes where one file is wanted (`curl -T`), and everything else as `application/json`.",
    "content-too-large": "Send less: a dataset of a few thousand examples is enough for a narrow interval, and "
    "compressed arrays count as they are sent. The operator's settings are `LESION_MAX_MODEL_BYTES` and "
    "`LESION_MAX_DATASET_BYTES`.",
    "headers-too-large": "Send fewer or shorter headers; more than 64 KiB are not read. Cookies of other services on "
    "the same host are a usual cause.",
    "validation-error": "Mend the fields that `errors` lists, each with a JSON pointer and what is wrong with it, "
    "and send the request again. `/docs` has every field with its range.",
    "unsupported-format": "Export the network to ONNX (`torch.onnx.export`), or save it with `torch.export.save` or "
    "`torch.jit.save`; a state dict or a pickle has no network in it that could be run safely. Save arrays with "
    "`numpy.savez_compressed`. `detail` shows the lines for what you sent.",
    "model-malformed": "Upload the file again, in case it was cut short on the way; `onnx.checker.check_model` says "
    "whether it was whole before. If it was, export it again with a current exporter.",
    "model-unsupported": "`detail` says what is missing. `output` in the config names another output, `metric` suits "
    "another kind of output, and `sites` chooses other layers; `lesion inspect MODEL` shows what was found.",
    "model-too-large": "Score a smaller variant, or export without optimiser states, training nodes and weights that "
    "stand there twice. `detail` names the limit; it is one of the service, not of your key.",
    "operator-not-allowed": "Export with standard ONNX operators: without custom ones, and without those that a "
    "runtime adds when it optimises a file. Upload the exporter's own file, not the optimised one.",
    "external-data-forbidden": "Send the files that the weights lie in as further parts `model`, each with its name, "
    "or a zip of all of them. Paths must stay within the upload.",
    "dataset-malformed": "`detail` names the array, column or file, and the row. All arrays need one row an example, "
    "and finite numbers; save objects and ragged lists as plain arrays.",
    "dataset-too-large": "Take fewer examples, or smaller pictures: a few thousand examples are enough for a narrow "
    "interval.",
    "dataset-mismatch": "Compare what `lesion inspect` shows for the model and for the dataset. `inputs` and "
    "`labels` in the config say which array is what, and `preprocessing` brings pictures to the size, scale and "
    "layout that the model was trained with.",
    "webhook-url-forbidden": "Give a public https address, written plainly: no user name, no odd port notation, no "
    "address of a private network. The operator can allow networks and hosts: `LESION_WEBHOOK_ALLOW`.",
    "conflict": "Look at the thing's state first: what has ended cannot be cancelled, what runs cannot be deleted, "
    "and an upload that a waiting evaluation needs stays until that has ended.",
    "not-ready": "Wait: `GET /v1/evaluations/{id}?wait=60` answers when the evaluation has ended; an upload's "
    "inspection takes seconds. Then ask again.",
    "not-comparable": "Evaluate one of the models again with what the other was evaluated with: the same dataset, "
    "split, scope, clamp and metric. `detail` names what differs, or why one of them has no score.",
    "idempotency-key-reused": "Use a new `Idempotency-Key` for each new request. Repeat an old one with the very "
    "same files and config only.",
    "model-crashed": "Run the file in onnxruntime yourself: a crash there is a fault of the file or of the runtime, "
    "and exporting again, with another opset, often helps. If it runs there, tell whoever runs the service.",
    "deadline-exceeded": "Ask for less precision (`precision`), fewer sites or a smaller dataset; or raise "
    "`limits.seconds`. For one request to a compute process the operator sets `LESION_CHILD_SECONDS`.",
    "resource-exhausted": "Use smaller pictures or a smaller model; the batch is already as small as it can be. The "
    "operator's setting is `LESION_CHILD_MEMORY_BYTES`.",
    "worker-lost": "Send the evaluation again. If it is lost again, whoever runs the service finds in the workers' "
    "logs what ends them; too little memory on the machine is a usual cause.",
    "internal": "Try again once. If it stays, tell whoever runs the service the time and the `X-Request-Id` of the "
    "answer: the log has a traceback under it.",
    "unavailable": "Wait as long as `Retry-After` says, and try again; nothing that was accepted is lost. `/readyz` "
    "says which part does not answer.",
    "busy": "Send it again after `Retry-After`, and a little later each time. With an `Idempotency-Key` that is "
    "harmless.",
    "queue-full": "Send it again after `Retry-After`. The operator can start more workers, or set `LESION_MAX_QUEUED`.",
    "insufficient-storage": "Delete uploads that nobody needs, if you can. The operator makes room on the disk or in "
    "the bucket, or lets old things go: `LESION_KEEP_UPLOADS`, `LESION_KEEP_EVALUATIONS`.",
}
