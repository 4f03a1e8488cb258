%% Stands in for EMQX's: JSON of maps with binary keys.
-module(emqx_utils_json).

-export([encode/1, decode/1]).

encode(Map) when is_map(Map) ->
    Members = [[encode(Key), ":", encode(Value)] || {Key, Value} <- maps:to_list(Map)],
    iolist_to_binary(["{", lists:join(",", Members), "}"]);
encode(List) when is_list(List) ->
    iolist_to_binary(["[", lists:join(",", [encode(Entry) || Entry <- List]), "]"]);
encode(Text) when is_binary(Text) ->
    iolist_to_binary([$", [escaped(C) || C <- unicode:characters_to_list(Text)], $"]);
encode(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
encode(Number) when is_integer(Number) -> integer_to_binary(Number).

escaped($") -> "\\\"";
escaped($\\) -> "\\\\";
escaped(C) when C < 32 -> io_lib:format("\\u~4.16.0b", [C]);
escaped(C) -> unicode:characters_to_binary([C]).

decode(Text) ->
    {Value, Rest} = value(string:trim(Text)),
    <<>> = string:trim(Rest),
    Value.

value(<<"{", Rest/binary>>) -> members(skip(Rest), #{});
value(<<"[", Rest/binary>>) -> entries(skip(Rest), []);
value(<<$", Rest/binary>>) -> text(Rest, []);
value(<<"true", Rest/binary>>) -> {true, Rest};
value(<<"false", Rest/binary>>) -> {false, Rest};
value(<<"null", Rest/binary>>) -> {null, Rest};
value(Rest) ->
    {match, [{0, Length}]} = re:run(Rest, "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?"),
    <<Number:Length/binary, Others/binary>> = Rest,
    try
        {binary_to_integer(Number), Others}
    catch
        error:badarg -> {binary_to_float(Number), Others}
    end.

skip(Text) -> string:trim(Text, leading).

members(<<"}", Rest/binary>>, Map) ->
    {Map, Rest};
members(<<",", Rest/binary>>, Map) ->
    members(skip(Rest), Map);
members(<<$", Rest/binary>>, Map) ->
    {Key, AfterKey} = text(Rest, []),
    <<":", AfterColon/binary>> = skip(AfterKey),
    {Value, Others} = value(skip(AfterColon)),
    members(skip(Others), Map#{Key => Value}).

entries(<<"]", Rest/binary>>, List) ->
    {lists:reverse(List), Rest};
entries(<<",", Rest/binary>>, List) ->
    entries(skip(Rest), List);
entries(Text, List) ->
    {Value, Rest} = value(Text),
    entries(skip(Rest), [Value | List]).

text(<<$", Rest/binary>>, Text) -> {unicode:characters_to_binary(lists:reverse(Text)), Rest};
text(<<"\\u", Hex:4/binary, Rest/binary>>, Text) -> text(Rest, [binary_to_integer(Hex, 16) | Text]);
text(<<"\\n", Rest/binary>>, Text) -> text(Rest, [$\n | Text]);
text(<<"\\t", Rest/binary>>, Text) -> text(Rest, [$\t | Text]);
text(<<"\\", C/utf8, Rest/binary>>, Text) -> text(Rest, [C | Text]);
text(<<C/utf8, Rest/binary>>, Text) -> text(Rest, [C | Text]).
