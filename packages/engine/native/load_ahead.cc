// The npm package's binding loads a SavedModel on the thread that calls it, and everything else in the process waits, as it does for the first values of
// its variables. Here both are done on a thread of libuv's pool. The binding's own call takes over what was loaded: it is compiled with
//   -DTF_NewGraph=moraine_new_graph -DTF_LoadSessionFromSavedModel=moraine_load_session -Dnapi_define_properties=moraine_define_properties
// and so asks here for the graph and the session, and exports two functions more:
//   loadAhead(folder, feed, fetch): Promise<number>   loads, feeds int64 [0] and fetches one output; how long the latter took, milliseconds
//   takeLoaded(folder)                                the next call of loadSavedModel is for this folder, and gets what was loaded
#include <node_api.h>

#include <chrono>
#include <cstring>
#include <map>
#include <string>

#include "tensorflow/c/c_api.h"
#undef TF_NewGraph
#undef TF_LoadSessionFromSavedModel
#undef TF_NewSessionOptions
#undef napi_define_properties

extern "C" TF_Graph* TF_NewGraph(void);
extern "C" TF_Session* TF_LoadSessionFromSavedModel(const TF_SessionOptions*, const TF_Buffer*, const char*, const char* const*,
                                                    int, TF_Graph*, TF_Buffer*, TF_Status*);
extern "C" TF_SessionOptions* moraine_session_options(void);
extern "C" napi_status NAPI_CDECL napi_define_properties(napi_env, napi_value, size_t, const napi_property_descriptor*);

namespace {

struct Loaded {
  TF_Graph* graph = nullptr;
  TF_Session* session = nullptr;
};

struct Work {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::string folder, feed, fetch;
  Loaded loaded;
  double milliseconds = 0;
  std::string problem;
};

// Of the thread that runs JavaScript alone.
std::map<std::string, Loaded> ready;
std::string taken;

void drop(const Loaded& loaded) {
  TF_Status* status = TF_NewStatus();
  if (loaded.session != nullptr) {
    TF_CloseSession(loaded.session, status);
    TF_DeleteSession(loaded.session, status);
  }
  if (loaded.graph != nullptr) TF_DeleteGraph(loaded.graph);
  TF_DeleteStatus(status);
}

void setFirstValues(Work& work, TF_Status* status) {
  const auto begun = std::chrono::steady_clock::now();
  const TF_Output input = {TF_GraphOperationByName(work.loaded.graph, work.feed.c_str()), 0};
  const TF_Output output = {TF_GraphOperationByName(work.loaded.graph, work.fetch.c_str()), 0};
  if (input.oper == nullptr || output.oper == nullptr) {
    work.problem = "The graph has no node " + (input.oper == nullptr ? work.feed : work.fetch);
    return;
  }
  const int64_t shape[] = {1};
  TF_Tensor* zero = TF_AllocateTensor(TF_INT64, shape, 1, sizeof(int64_t));
  std::memset(TF_TensorData(zero), 0, sizeof(int64_t));
  TF_Tensor* fetched = nullptr;
  TF_SessionRun(work.loaded.session, nullptr, &input, &zero, 1, &output, &fetched, 1, nullptr, 0, nullptr, status);
  TF_DeleteTensor(zero);
  if (fetched != nullptr) TF_DeleteTensor(fetched);
  if (TF_GetCode(status) != TF_OK) work.problem = std::string("Session fail to run with error: ") + TF_Message(status);
  work.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count();
}

void Execute(napi_env, void* data) {
  Work& work = *static_cast<Work*>(data);
  TF_Status* status = TF_NewStatus();
  TF_SessionOptions* options = moraine_session_options();
  const char* tags[] = {"serve"};
  work.loaded.graph = TF_NewGraph();
  work.loaded.session = TF_LoadSessionFromSavedModel(options, nullptr, work.folder.c_str(), tags, 1, work.loaded.graph, nullptr, status);
  if (TF_GetCode(status) != TF_OK) work.problem = std::string("Failed to load SavedModel: ") + TF_Message(status);
  else setFirstValues(work, status);
  if (!work.problem.empty()) drop(work.loaded);
  TF_DeleteSessionOptions(options);
  TF_DeleteStatus(status);
}

void Complete(napi_env env, napi_status, void* data) {
  Work* work = static_cast<Work*>(data);
  napi_value result;
  if (work->problem.empty()) {
    ready[work->folder] = work->loaded;
    napi_create_double(env, work->milliseconds, &result);
    napi_resolve_deferred(env, work->deferred, result);
  } else {
    napi_value message;
    napi_create_string_utf8(env, work->problem.c_str(), work->problem.size(), &message);
    napi_create_error(env, nullptr, message, &result);
    napi_reject_deferred(env, work->deferred, result);
  }
  napi_delete_async_work(env, work->work);
  delete work;
}

bool readText(napi_env env, napi_value value, std::string* text) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  text->resize(length);
  return napi_get_value_string_utf8(env, value, &(*text)[0], length + 1, &length) == napi_ok;
}

napi_value LoadAhead(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value given[3];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  Work* work = new Work;
  if (count < 3 || !readText(env, given[0], &work->folder) || !readText(env, given[1], &work->feed) ||
      !readText(env, given[2], &work->fetch)) {
    delete work;
    napi_throw_type_error(env, nullptr, "loadAhead takes a folder and the names of two nodes");
    return nullptr;
  }
  napi_value promise, name;
  napi_create_promise(env, &work->deferred, &promise);
  napi_create_string_utf8(env, "moraine:loadAhead", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, Execute, Complete, work, &work->work);
  napi_queue_async_work(env, work->work);
  return promise;
}

napi_value TakeLoaded(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value given[1];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  std::string folder;
  if (count < 1 || !readText(env, given[0], &folder) || ready.count(folder) == 0)
    napi_throw_type_error(env, nullptr, "takeLoaded takes a folder that was loaded ahead");
  else
    taken = folder;
  return nullptr;
}

}  // namespace

extern "C" TF_Graph* moraine_new_graph(void) { return taken.empty() ? TF_NewGraph() : ready[taken].graph; }

extern "C" TF_Session* moraine_load_session(const TF_SessionOptions* options, const TF_Buffer* run, const char* folder,
                                            const char* const* tags, int count, TF_Graph* graph, TF_Buffer* meta,
                                            TF_Status* status) {
  if (taken.empty()) return TF_LoadSessionFromSavedModel(options, run, folder, tags, count, graph, meta, status);
  TF_Session* session = ready[taken].session;
  ready.erase(taken);
  taken.clear();
  TF_SetStatus(status, TF_OK, "");
  return session;
}

// The binding defines its functions in one call, and constants one by one.
extern "C" napi_status moraine_define_properties(napi_env env, napi_value exports, size_t count,
                                                 const napi_property_descriptor* properties) {
  const napi_status status = napi_define_properties(env, exports, count, properties);
  if (status != napi_ok || count == 1) return status;
  const napi_property_descriptor own[] = {
      {"loadAhead", nullptr, LoadAhead, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"takeLoaded", nullptr, TakeLoaded, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return napi_define_properties(env, exports, 2, own);
}
