// The npm package's binding loads every SavedModel with default options. Compiled with -DTF_NewSessionOptions=moraine_session_options it asks
// here instead, and gets options without TensorFlow's graph optimiser (Grappler): it takes 4 s of processor time for each signature of a 135M
// model before that runs for the first time, and the steps that follow are no faster for it. MORAINE_GRAPH_OPTIMIZER=1 leaves it on.
#include <cstdlib>

#include "tensorflow/c/c_api.h"
#undef TF_NewSessionOptions

extern "C" TF_SessionOptions* TF_NewSessionOptions(void);

extern "C" TF_SessionOptions* moraine_session_options(void) {
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* keep = std::getenv("MORAINE_GRAPH_OPTIMIZER");
  if (keep != nullptr && keep[0] == '1') return options;
  // ConfigProto { graph_options (10) { rewrite_options (10) { disable_meta_optimizer (19): true } } }
  static const unsigned char config[] = {0x52, 0x05, 0x52, 0x03, 0x98, 0x01, 0x01};
  TF_Status* status = TF_NewStatus();
  TF_SetConfig(options, config, sizeof config, status);
  TF_DeleteStatus(status);  // Refused by a library that knows the field no more: then it optimises.
  return options;
}
