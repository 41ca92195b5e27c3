// Stands in for NVIDIA's driver (libcuda.so.1) and its management library (libnvidia-ml.so.1) where there is no card: it answers as one
// card of compute capability 9.0, as far as TensorFlow asks before it opens CUDA's libraries. Nothing can be computed with it.
#include <stddef.h>
#include <string.h>

enum { SUCCESS = 0, COMPUTE_CAPABILITY_MAJOR = 75, MULTIPROCESSOR_COUNT = 16 };

static int text(char *out, int size, const char *value) {
  strncpy(out, value, (size_t)size - 1);
  out[size - 1] = '\0';
  return SUCCESS;
}

int cuInit(unsigned flags) { return SUCCESS; }
int cuDriverGetVersion(int *version) { *version = 12090; return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
int cuDeviceGetName(char *out, int size, int device) { return text(out, size, "stub card"); }
int cuDeviceGetPCIBusId(char *out, int size, int device) { return text(out, size, "0000:01:00.0"); }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)16 << 30; return SUCCESS; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == COMPUTE_CAPABILITY_MAJOR ? 9 : attribute == 76 ? 0 : attribute == MULTIPROCESSOR_COUNT ? 8 : 1;
  return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)1; return SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return SUCCESS; }
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { return SUCCESS; }
int cuCtxGetCurrent(void **context) { *context = (void *)1; return SUCCESS; }
int cuCtxSetCurrent(void *context) { return SUCCESS; }
int cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }
int cuCtxSynchronize(void) { return SUCCESS; }
int cuMemGetInfo_v2(size_t *available, size_t *total) { *available = *total = (size_t)16 << 30; return SUCCESS; }
int cuDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return SUCCESS; }
int cuGetErrorName(int error, const char **name) { *name = "STUB"; return SUCCESS; }
int cuGetErrorString(int error, const char **name) { *name = "the stub driver cannot do that"; return SUCCESS; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int error) { return "stub"; }
