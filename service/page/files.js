// Which of the files that somebody drops are the model, and which is the dataset.

const MODELS = ["onnx", "pt2", "pt", "pth", "ts", "data", "bin", "ckpt", "h5", "keras", "tflite", "pkl"]; // some of them only to be refused, in words that help
const DATASETS = ["npz", "npy", "parquet", "csv", "safetensors", "tar", "tgz", "gz"];

const ending = (file) => file.name.toLowerCase().split(".").pop();

/** Sort files into {model: [...], dataset: [...]}. One that could be either goes to `slot`, else to what is missing. */
export function sorted(files, slot = null, missing = "dataset") {
  const found = { model: [], dataset: [] };
  for (const file of files) {
    const certain = MODELS.includes(ending(file)) ? "model" : DATASETS.includes(ending(file)) ? "dataset" : null;
    found[certain ?? slot ?? missing].push(file);
  }
  return found;
}

/** Files of a drop. A folder among them cannot be read as one. */
export function dropped(transfer) {
  const folder = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).find((entry) => entry?.isDirectory);
  if (folder) throw new Error(`${folder.name} is a folder: zip it first, then drop the zip.`);
  return [...transfer.files];
}
