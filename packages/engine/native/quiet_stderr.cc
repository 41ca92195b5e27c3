// mute() points file descriptor 2 at /dev/null, unmute() puts it back. TensorFlow's shared library prints two lines from its static
// initialisers, before any setting of its own can be heard; Node has no dup2.
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

static int saved = -1;

static napi_value Mute(napi_env, napi_callback_info) {
  if (saved != -1) return nullptr;
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null == -1) return nullptr;
  saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
  if (saved != -1) dup2(null, 2);
  close(null);
  return nullptr;
}

static napi_value Unmute(napi_env, napi_callback_info) {
  if (saved == -1) return nullptr;
  dup2(saved, 2);
  close(saved);
  saved = -1;
  return nullptr;
}

NAPI_MODULE_INIT() {
  napi_value mute, unmute;
  napi_create_function(env, "mute", NAPI_AUTO_LENGTH, Mute, nullptr, &mute);
  napi_create_function(env, "unmute", NAPI_AUTO_LENGTH, Unmute, nullptr, &unmute);
  napi_set_named_property(env, exports, "mute", mute);
  napi_set_named_property(env, exports, "unmute", unmute);
  return exports;
}
