// A model's weights in a file of their own, from which it can be opened and which a test may spoil.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "model/llama.h"
#include "test.h"

namespace octavo::test {

// One after another behind `padding` bytes, in a folder that goes away.
struct WrittenModel {
  std::filesystem::path folder;
  std::vector<WeightSource> sources;

  WrittenModel(const LlamaModel& model, int padding) {
    std::string pattern = (std::filesystem::temp_directory_path() / "octavo-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()));
    folder = pattern;
    const std::string path = (folder / "weights").string();
    std::ofstream file(path, std::ios::binary);
    file << std::string(static_cast<size_t>(padding), '#');
    int64_t offset = padding;
    for (const auto& [name, weight] : model.weights()) {
      file.write(static_cast<const char*>(weight.data), static_cast<std::streamsize>(weight.size_bytes()));
      const char* dtype = weight.dtype == DType::kF32 ? "F32" : weight.dtype == DType::kBf16 ? "BF16" : "F16";
      sources.push_back({name, dtype, weight.shape, path, offset, static_cast<int64_t>(weight.size_bytes())});
      offset += static_cast<int64_t>(weight.size_bytes());
    }
  }
  ~WrittenModel() { std::filesystem::remove_all(folder); }
  WrittenModel(const WrittenModel&) = delete;
  WrittenModel& operator=(const WrittenModel&) = delete;
};

}  // namespace octavo::test
