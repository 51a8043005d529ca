// swift-tools-version: 6.1
import PackageDescription

// A package of its own: its programs have libFuzzer's `main`, and are of no use without it (see run.sh).
let package = Package(
  name: "LatheFuzz",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "Lathe", path: "../..")],
  targets: [
    // Links to files of Tests/TestSupport: the tests read the corpus in the same way.
    .target(name: "FuzzInputs", dependencies: [.product(name: "Tensors", package: "Lathe")])
  ]
    + [
      "safetensors", "adapter", "pickle", "gguf", "configuration", "recipe", "undo", "png", "prompt", "tokenizer",
      "codec",
    ].map { reader in
      .executableTarget(
        name: "\(reader)-fuzz",
        dependencies: ["FuzzInputs"]
          + [
            "Tensors", "Files", "JSON", "Models", "Safetensors", "TorchPickles", "GGUF", "Codecs", "Checkpoints",
            "Adapters",
            "Factoring", "Merging", "Baking", "Images", "Prompts", "Sampling", "Networks", "Rendering",
          ].map {
            .product(name: $0, package: "Lathe")
          },
        swiftSettings: [.unsafeFlags(["-parse-as-library"])])
    }
)
