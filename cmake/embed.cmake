# Turns the file IN into the C++ source OUT that defines tenon::DescriptorSet().
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"proto/descriptors.h\"\n
namespace tenon {
static const unsigned char kBytes[] = {${bytes}};
std::string_view DescriptorSet() { return {reinterpret_cast<const char*>(kBytes), sizeof kBytes}; }
}  // namespace tenon
")
