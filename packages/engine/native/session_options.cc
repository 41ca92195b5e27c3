// The npm package's binding loads every SavedModel with default options. Compiled with -DTF_NewSessionOptions=moraine_session_options it asks
// here instead, and gets options without TensorFlow's two graph optimisers. Grappler takes 4 s of processor time for each signature of a 135M
// model before that runs for the first time, and the steps that follow are no faster for it. Constant folding evaluates the memory-mapped
// weight files: one more copy of each in memory. MORAINE_GRAPH_OPTIMIZER=1 leaves both on.
#include <cstdlib>

#include "tensorflow/c/c_api.h"
#undef TF_NewSessionOptions

extern "C" TF_SessionOptions* TF_NewSessionOptions(void);

extern "C" TF_SessionOptions* moraine_session_options(void) {
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* keep = std::getenv("MORAINE_GRAPH_OPTIMIZER");
  if (keep != nullptr && keep[0] == '1') return options;
  // ConfigProto { graph_options (10) {
  //   optimizer_options (3) { opt_level (3): L0 = -1 }  rewrite_options (10) { disable_meta_optimizer (19): true } } }
  static const unsigned char config[] = {0x52, 0x12, 0x1a, 0x0b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0x01, 0x52, 0x03, 0x98, 0x01, 0x01};
  TF_Status* status = TF_NewStatus();
  TF_SetConfig(options, config, sizeof config, status);
  TF_DeleteStatus(status);  // Refused by a library that knows the fields no more: then it optimises.
  return options;
}
