// What the emulated libraries share: a stream does its work as late as it may, so that nobody reads what nobody waited for.
#pragma once
#include <functional>

extern "C" void emulator_enqueue(void* stream, std::function<void()>* work);
