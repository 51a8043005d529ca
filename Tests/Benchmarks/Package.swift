// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that users of Lathe do not resolve what only measuring needs.
let package = Package(
  name: "LatheBenchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "Lathe", path: "../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .executableTarget(
      name: "lathe-benchmark",
      dependencies: [
        .product(name: "Tensors", package: "Lathe"), .product(name: "LinearAlgebra", package: "Lathe"),
        .product(name: "Safetensors", package: "Lathe"), .product(name: "Adapters", package: "Lathe"),
        .product(name: "Checkpoints", package: "Lathe"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "lathe-codec-benchmark",
      dependencies: [.product(name: "Tensors", package: "Lathe"), .product(name: "Codecs", package: "Lathe")]),
    .executableTarget(
      name: "lathe-engine-benchmark",
      dependencies: [
        .product(name: "Tensors", package: "Lathe"), .product(name: "Safetensors", package: "Lathe"),
        .product(name: "Checkpoints", package: "Lathe"), .product(name: "Kernels", package: "Lathe"),
        .product(name: "Models", package: "Lathe"), .product(name: "Networks", package: "Lathe"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
  ]
)
